"""Give the model of invitations to `accounts`. The table stays as it is, with its name: only the state moves."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("access", "0006_rules_of_customers")]

    operations = [
        migrations.SeparateDatabaseAndState(state_operations=[migrations.DeleteModel(name="Invitation")])
    ]
