from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("access", "0009_fill_searched_words")]

    operations = [
        migrations.AddField(
            model_name="user",
            name="time_zone",
            field=models.CharField(blank=True, max_length=64, default=""),
            preserve_default=False,
        )
    ]
