import os

from django.core.wsgi import get_wsgi_application

from pbxadmin.ops.stack import with_stack_room
from pbxadmin.ops.start_up import require_secrets

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pbxadmin.settings")
require_secrets()
application = with_stack_room(get_wsgi_application())
