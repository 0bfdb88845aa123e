from itertools import groupby
from typing import Any

from django.db import migrations

BETWEEN_TAGS = ', '
BATCH = 1000


def rows_from_column(apps: Any, schema_editor: Any) -> None:
    Pbx, PbxTag = apps.get_model('fleet', 'Pbx'), apps.get_model('fleet', 'PbxTag')
    kept = Pbx.objects.exclude(tags='').order_by('pk').values_list('pk', 'tags')
    PbxTag.objects.bulk_create(
        (PbxTag(pbx_id=pk, name=name) for pk, tags in kept for name in tags.split(BETWEEN_TAGS)),
        batch_size=BATCH,
        ignore_conflicts=True,
    )


def column_from_rows(apps: Any, schema_editor: Any) -> None:
    Pbx, PbxTag = apps.get_model('fleet', 'Pbx'), apps.get_model('fleet', 'PbxTag')
    rows = PbxTag.objects.order_by('pbx_id').values_list('pbx_id', 'name')
    tagged = [
        Pbx(pk=pk, tags=BETWEEN_TAGS.join(sorted(name for _, name in of_pbx)))
        for pk, of_pbx in groupby(rows, key=lambda row: row[0])
    ]
    Pbx.objects.bulk_update(tagged, ['tags'], batch_size=BATCH)
    PbxTag.objects.all().delete()


class Migration(migrations.Migration):

    dependencies = [
        ('fleet', '0009_tag_rows'),
    ]

    operations = [
        migrations.RunPython(rows_from_column, column_from_rows),
    ]
