from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("notices", "0002_time_zones_to_people")]

    operations = [migrations.RemoveField(model_name="noticeclock", name="time_zone")]
