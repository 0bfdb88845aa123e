"""The time zone of a person's mails becomes the one in which they see all times."""

from typing import Any

from django.db import migrations


def to_people(apps: Any, schema_editor: Any) -> None:
    user = apps.get_model("access", "User")
    for clock in apps.get_model("notices", "NoticeClock").objects.exclude(time_zone="UTC").iterator():
        user.objects.filter(pk=clock.person_id, time_zone="").update(time_zone=clock.time_zone)


def to_clocks(apps: Any, schema_editor: Any) -> None:
    clocks = apps.get_model("notices", "NoticeClock").objects
    for clock in clocks.select_related("person").iterator():
        clocks.filter(pk=clock.pk).update(time_zone=clock.person.time_zone or "UTC")


class Migration(migrations.Migration):
    dependencies = [("notices", "0001_outbox"), ("access", "0010_time_zone_of_a_person")]

    operations = [migrations.RunPython(to_people, to_clocks)]
