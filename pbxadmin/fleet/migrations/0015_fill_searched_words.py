from typing import Any

from django.db import migrations

from pbxadmin.folding import searched_text

BATCH = 1000


def fill(apps: Any, schema_editor: Any) -> None:
    Pbx = apps.get_model('fleet', 'Pbx')
    rows = []
    for row in Pbx.objects.prefetch_related('tag_rows').order_by('pk').iterator(BATCH):
        tags = ', '.join(sorted(tag.name for tag in row.tag_rows.all()))
        row.words = searched_text([row.name, row.site, row.main_numbers, tags, row.notes])
        rows.append(row)
        if len(rows) == BATCH:
            Pbx.objects.bulk_update(rows, ['words'])
            rows = []
    Pbx.objects.bulk_update(rows, ['words'])


class Migration(migrations.Migration):

    dependencies = [
        ('fleet', '0014_searched_words'),
    ]

    operations = [
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
