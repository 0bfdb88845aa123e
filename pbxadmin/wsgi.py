import os

from django.core.wsgi import get_wsgi_application

from pbxadmin.ops.start_up import require_secrets

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pbxadmin.settings")
require_secrets()
application = get_wsgi_application()
