from typing import Any

from django.db import migrations

from pbxadmin.folding import searched_text

BATCH = 1000
SOURCES = {
    'Ivr': ('number', 'name'),
    'Change': ('number', 'name', 'pbx_name', 'customer_name', 'planned_by_name', 'applied_by_name', 'ticket'),
}


def fill(apps: Any, schema_editor: Any) -> None:
    for name, sources in SOURCES.items():
        model = apps.get_model('ivr', name)
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
        ('ivr', '0007_searched_words'),
    ]

    operations = [
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
