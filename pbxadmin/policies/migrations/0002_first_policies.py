from typing import Any

from django.db import migrations

FIRST = (
    {
        'kind': 'dial-out',
        'title': 'Dial-out is off',
        'reason': 'Callers who can dial out make calls at your cost. Fraudsters look for menus that let them.',
        'severity': 'high',
        'field': 'dial_outbound',
        'value': 'off',
    },
    {
        'kind': 'extensions',
        'title': 'Extensions closed or known',
        'reason': 'Callers who can type any extension reach what forwards outside. Accept the IVRs that are meant to.',
        'severity': 'medium',
        'field': 'dial_extension',
        'value': 'off',
    },
)


def add(apps: Any, schema_editor: Any) -> None:
    policy = apps.get_model('policies', 'Policy')
    for values in FIRST:
        policy.objects.get_or_create(kind=values['kind'], defaults={**values, 'made_by_name': 'PBX Admin'})


def remove(apps: Any, schema_editor: Any) -> None:
    apps.get_model('policies', 'Policy').objects.filter(kind__in=[values['kind'] for values in FIRST]).delete()


class Migration(migrations.Migration):

    dependencies = [
        ('policies', '0001_initial'),
    ]

    operations = [
        migrations.RunPython(add, remove),
    ]
