from typing import Any

from django.db import migrations

from pbxadmin.folding import searched_text

BATCH = 1000
SOURCES = {
    'Customer': ('name',),
    'User': ('first_name', 'last_name', 'username', 'email'),
}


def fill(apps: Any, schema_editor: Any) -> None:
    for name, sources in SOURCES.items():
        model = apps.get_model('access', name)
        rows = []
        for row in model.objects.only(*sources).order_by('pk').iterator(BATCH):
            row.words = searched_text(getattr(row, source) for source in sources)
            rows.append(row)
            if len(rows) == BATCH:
                model.objects.bulk_update(rows, ['words'])
                rows = []
        model.objects.bulk_update(rows, ['words'])


class Migration(migrations.Migration):

    dependencies = [
        ('access', '0008_searched_words'),
    ]

    operations = [
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
