from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("audit", "0004_event_sink")]

    operations = [
        migrations.AddField(
            model_name="eventsink",
            name="told_at",
            field=models.DateTimeField(null=True),
        ),
    ]
