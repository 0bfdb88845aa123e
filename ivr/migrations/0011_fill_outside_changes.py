"""Fill the rows of outside changes from the log: one pass from its newest event to its oldest."""

import json
from typing import Any

from django.db import migrations

BATCH = 1000
OUTSIDE = ('ivr.changed-outside', 'ivr.appeared', 'ivr.vanished')
OUTCOMES = ('change.outcome', 'change.settled')
ACCEPTED = 'ivr.outside-accepted'


def fill(apps: Any, schema_editor: Any) -> None:
    event_model, row_model = apps.get_model('audit', 'Event'), apps.get_model('ivr', 'OutsideChange')
    held = snapshots_of(apps, event_model)
    moved: dict[tuple[int, str, str], tuple[int, Any, dict[str, Any] | None]] = {}
    accepted: dict[str, tuple[int, Any]] = {}
    rows = []
    looked_at = event_model.objects.filter(action__in=(*OUTSIDE, *OUTCOMES, ACCEPTED), pbx_id__gt=0)
    for event in looked_at.order_by('-id').iterator(BATCH):
        said = said_in(event)
        if event.action == ACCEPTED:
            accepted[str(said['detail'].get('event'))] = (event.pk, event.at)
            continue
        if event.action in OUTSIDE:
            rows.append(row_model(**row_of(event, said, moved, accepted, held)))
        if event.action in OUTSIDE or event.outcome in ('verified', 'not-as-asked'):
            for name in told_by(event, said):
                found = said['fields'] if event.action in OUTCOMES else None
                moved[event.pbx_id, event.ivr_number, name] = (event.pk, event.at, found)
        if len(rows) == BATCH:
            row_model.objects.bulk_create(rows, ignore_conflicts=True)
            rows = []
    row_model.objects.bulk_create(rows, ignore_conflicts=True)


def snapshots_of(apps: Any, event_model: Any) -> dict[tuple[int, str], Any]:
    """Return the snapshots of the PBXs that the log tells an outside change of, by PBX and number."""
    pbx_ids = set(event_model.objects.filter(action__in=OUTSIDE).order_by().values_list('pbx_id', flat=True))
    rows = apps.get_model('ivr', 'Ivr').objects.filter(pbx_id__in=pbx_ids).order_by()
    return {(row.pbx_id, row.number): row for row in rows.iterator(BATCH)}


def said_in(event: Any) -> dict[str, Any]:
    try:
        said = json.loads(event.text)
        return {'fields': dict(said['fields']), 'detail': dict(said['detail'])}
    except (ValueError, TypeError, KeyError):
        return {'fields': {}, 'detail': {}}


def told_by(event: Any, said: Any) -> set[str]:
    names = {name for name, each in said['fields'].items() if each.get('before') != each.get('found')}
    return names | {'presence'} if event.action in ('ivr.appeared', 'ivr.vanished') else names


def row_of(event: Any, said: Any, moved: Any, accepted: Any, held: Any) -> dict[str, Any]:
    came_or_went = event.action in ('ivr.appeared', 'ivr.vanished')
    told = {'presence'} if came_or_went else told_by(event, said)
    movers = [moved[key] for name in told if (key := (event.pbx_id, event.ivr_number, name)) in moved]
    state, by, at = 'open', None, None
    if str(event.pk) in accepted:
        state, (by, at) = 'accepted', accepted[str(event.pk)]
    elif movers:
        by, at, found = min(movers, key=lambda mover: mover[0])
        is_back = found is not None and not came_or_went and all(
            found.get(name, {}).get('found') == each.get('before') for name, each in said['fields'].items()
        )
        state = 'restored' if is_back else 'overridden'
    elif not still_holds(event, said, held):
        state, at = 'overridden', event.at
    return {
        'event_id': event.pk,
        'at': event.at,
        'customer_id': event.customer_id or 0,
        'pbx_id': event.pbx_id,
        'number': event.ivr_number,
        'action': event.action,
        'field_names': event.field_names,
        'state': state,
        'decided_by_id': by,
        'decided_at': at,
    }


def still_holds(event: Any, said: Any, held: Any) -> bool:
    row = held.get((event.pbx_id, event.ivr_number))
    if event.action == 'ivr.vanished' or row is None:
        return event.action == 'ivr.vanished' and row is None
    if event.action == 'ivr.appeared':
        return True
    return all(getattr(row, name, None) == each.get('found') for name, each in said['fields'].items())


def empty(apps: Any, schema_editor: Any) -> None:
    apps.get_model('ivr', 'OutsideChange').objects.all().delete()


class Migration(migrations.Migration):

    dependencies = [
        ('ivr', '0010_outside_changes'),
        ('audit', '0003_batches'),
    ]

    operations = [
        migrations.RunPython(fill, empty),
    ]
