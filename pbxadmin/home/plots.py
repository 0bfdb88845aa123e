"""Plot of the fleet as SVG without script or style: a square for each PBX, above 200 PBXs one for several."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from pbxadmin.fleet.models import PbxState
from pbxadmin.web.words import PBX_STATES, number_of

CELLS_PER_LINE, CELL_STEP, MOST_CELLS = 20, 18, 200


@dataclass(frozen=True)
class Squares:
    """Squares to draw. cells: x, y, tone, and whether the cell has a mark as well as a colour."""

    cells: list[tuple[int, int, str, bool]]
    height: int
    stands_for: int
    words: str

    @property
    def width(self) -> int:
        return CELLS_PER_LINE * CELL_STEP


def fleet_squares(by_state: Mapping[str, int]) -> Squares:
    total = sum(by_state.values())
    stands_for = max(1, ceil(total / MOST_CELLS))
    states = [state for state in PbxState.values for _ in range(ceil(by_state.get(state, 0) / stands_for))]
    cells = [
        (
            place % CELLS_PER_LINE * CELL_STEP,
            place // CELLS_PER_LINE * CELL_STEP,
            PBX_STATES[state].tone,
            state != PbxState.REACHABLE,
        )
        for place, state in enumerate(states)
    ]
    said = ", ".join(
        f"{by_state[state]} {PBX_STATES[state].label.lower()}" for state in PbxState.values if by_state.get(state)
    )
    words = f"{number_of(total, 'PBX')}: {said}"
    return Squares(cells, ceil(len(cells) / CELLS_PER_LINE) * CELL_STEP, stands_for, words)
