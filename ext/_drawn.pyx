# cython: language_level=3, boundscheck=True, wraparound=False, initializedcheck=False
# cython: cdivision=True, embedsignature=True, show_performance_hints=False
"""Sums of what EVSEs drew, on flat arrays: the arithmetic of `edgectl/control/drawn.py` (S4).

1. Readings come in as they are, once for each EVSE and tick; sums read flat arrays alone.
2. Sums are made in the order of the EVSEs, by plain additions, so that a replay gives the same
   bits.
3. A phase without a value is NaN here; it takes part with the EVSE's commitment.
4. Where currents have directions sums are made by kind and line (`edgectl/control/curved.py`): for
   each EVSE below each node the caller says which kind its phases are there, by how many lines they
   are turned, and their scale.

Complexity: O(R) for each EVSE that is read, O(B S) for each sum, with R readings back to the
oldest window, B EVSEs below the node and S readings in the span around the window.
"""

from cpython cimport array
from libc.math cimport INFINITY, NAN, isnan

import array

MOST_READINGS = 32
cdef enum:
    MOST = 32


cdef class Sums:
    """What is drawn below every node of one site; made once, filled anew at every tick.

    `below`: the EVSEs below node n are `below[start[n]:start[n + 1]]`; `parent`: -1 at a root,
    parents before their children. After `finish`, `known_s[n]` is the latest moment from which on
    no EVSE below n was read any more, its refresh time taken off (minus infinity without any
    reading), and `committed_a[3 n + p]` the sum of all commitments on a phase.

    `kind`, `turn` and `scale`: one for each entry of `below`, or empty where amounts add up.
    """

    cdef readonly object known_s
    cdef readonly object committed_a
    cdef int[::1] _start
    cdef int[::1] _below
    cdef int[::1] _own
    cdef int[::1] _parent
    cdef double[::1] _known
    cdef double[::1] _committed
    cdef double[::1] _taken
    cdef double[::1] _current
    cdef double[::1] _most
    cdef double[::1] _refresh
    cdef int[::1] _count
    cdef int[::1] _kind
    cdef int[::1] _turn
    cdef double[::1] _scale

    def __init__(
        self,
        array.array start,
        array.array below,
        array.array own,
        array.array parent,
        array.array kind,
        array.array turn,
        array.array scale,
    ):
        cdef Py_ssize_t nodes = len(parent), evses = len(own)
        if len(start) != nodes + 1 or start[nodes] != len(below):
            raise ValueError("start does not fit below")
        if not len(kind) == len(turn) == len(scale) or len(kind) not in (0, len(below)):
            raise ValueError("kind, turn and scale do not fit below")
        self._kind, self._turn, self._scale = kind, turn, scale
        self._start, self._below, self._own, self._parent = start, below, own, parent
        self.known_s = array.array("d", bytes(8 * nodes))
        self.committed_a = array.array("d", bytes(24 * nodes))
        self._known, self._committed = self.known_s, self.committed_a
        self._taken = array.array("d", bytes(8 * MOST * evses))
        self._current = array.array("d", bytes(24 * MOST * evses))
        self._most = array.array("d", bytes(24 * evses))
        self._refresh = array.array("d", bytes(8 * evses))
        self._count = array.array("i", bytes(4 * evses))

    def begin(self):
        """Forget the tick before."""
        self._known[:] = -INFINITY
        self._committed[:] = 0.0

    def unread(self, int i, tuple wired, double committed_a):
        """EVSE i has no readings that count: it draws between nothing and its commitment."""
        self._commit(i, wired, committed_a)
        self._count[i] = 0

    def read(
        self, int i, tuple wired, double committed_a, tuple samples, double refresh_s,
        double back_to_s, bint line_to_line,
    ):
        """EVSE i was read; `samples` oldest first. Those older than `back_to_s` are left out.

        `line_to_line`: one current flows, and the greatest that is shown anywhere is it.
        """
        cdef Py_ssize_t k = len(samples)
        cdef int count = 0
        cdef Py_ssize_t p, at
        cdef double taken_s
        cdef tuple current_a
        cdef object value
        self._commit(i, wired, committed_a)
        self._refresh[i] = refresh_s
        while k > 0 and count < MOST:
            k -= 1
            sample = samples[k]
            taken_s = sample.taken_s
            current_a = sample.current_a
            at = MOST * i + count
            self._taken[at] = taken_s
            for p in range(3):
                value = sample.highest_a() if line_to_line else current_a[p]
                if wired[p] == 0.0:
                    self._current[3 * at + p] = 0.0
                elif value is None:
                    self._current[3 * at + p] = NAN
                else:
                    self._current[3 * at + p] = value
            count += 1
            if taken_s <= back_to_s:
                break
        self._count[i] = count
        if count > 0:
            taken_s = self._taken[MOST * i] - refresh_s
            if taken_s > self._known[self._own[i]]:
                self._known[self._own[i]] = taken_s

    def finish(self):
        """Bring what is known of single nodes up the tree."""
        cdef Py_ssize_t n, p
        cdef int up
        for n in range(self._parent.shape[0] - 1, -1, -1):
            up = self._parent[n]
            if up >= 0:
                if self._known[n] > self._known[up]:
                    self._known[up] = self._known[n]
                for p in range(3):
                    self._committed[3 * up + p] += self._committed[3 * n + p]

    def bounds(self, int n, double before_s, double taken_s, bint s4_base):
        """What is drawn below node n around a moment: least and greatest per phase, and whether
        every EVSE was read after it."""
        cdef double low[3]
        cdef double high[3]
        cdef double least, greatest, most
        cdef Py_ssize_t j, i, p
        cdef int first, last
        cdef bint after, known, closed = True
        for p in range(3):
            low[p] = high[p] = 0.0
        for j in range(self._start[n], self._start[n + 1]):
            i = self._below[j]
            if self._count[i] == 0:
                for p in range(3):
                    high[p] += self._most[3 * i + p]
                continue
            self._span(i, before_s, taken_s, &first, &last)
            after = self._taken[MOST * i + last] >= taken_s + self._refresh[i]
            known = after and self._taken[MOST * i + first] <= before_s
            closed = closed and after
            if not s4_base:
                first = last = 0
                known = True
            for p in range(3):
                most = self._most[3 * i + p]
                if not self._extremes(i, p, first, last, &least, &greatest):
                    high[p] += most
                elif known:
                    low[p] += least
                    high[p] += greatest
                else:
                    high[p] += greatest if greatest >= most else most
        return (low[0], low[1], low[2]), (high[0], high[1], high[2]), bool(closed)

    def newest(self, int n, double before_s, double taken_s, bint s4_base):
        """Two sums below node n: the greatest readings around a moment, and the newest ones."""
        cdef double read[3]
        cdef double latest[3]
        cdef double least, greatest, value
        cdef Py_ssize_t j, i, p
        cdef int first, last
        for p in range(3):
            read[p] = latest[p] = 0.0
        for j in range(self._start[n], self._start[n + 1]):
            i = self._below[j]
            if self._count[i] == 0:
                for p in range(3):
                    read[p] += self._most[3 * i + p]
                    latest[p] += self._most[3 * i + p]
                continue
            first = last = 0
            if s4_base:
                self._span(i, before_s, taken_s, &first, &last)
            for p in range(3):
                if self._extremes(i, p, first, last, &least, &greatest):
                    read[p] += greatest
                else:
                    read[p] += self._most[3 * i + p]
                value = self._current[3 * MOST * i + p]
                latest[p] += 0.0 if isnan(value) else value
        return (read[0], read[1], read[2]), (latest[0], latest[1], latest[2])

    def bounds_by_kind(self, int n, double before_s, double taken_s, bint s4_base):
        """As `bounds`, with nine sums by kind and line for each triple."""
        cdef double low[9]
        cdef double high[9]
        cdef double least, greatest, most
        cdef Py_ssize_t j, i, p
        cdef int first, last, to
        cdef bint after, known, closed = True
        for to in range(9):
            low[to] = high[to] = 0.0
        for j in range(self._start[n], self._start[n + 1]):
            i = self._below[j]
            first = last = 0
            after = known = False
            if self._count[i] > 0:
                self._span(i, before_s, taken_s, &first, &last)
                after = self._taken[MOST * i + last] >= taken_s + self._refresh[i]
                known = after and self._taken[MOST * i + first] <= before_s
                closed = closed and after
                if not s4_base:
                    first = last = 0
                    known = True
            for p in range(3):
                most = self._most[3 * i + p]
                least, greatest = 0.0, most
                if self._count[i] > 0 and self._extremes(i, p, first, last, &least, &greatest):
                    if not known:
                        least = 0.0
                        greatest = greatest if greatest >= most else most
                else:
                    least, greatest = 0.0, most
                to = 3 * self._kind[j] + (p + self._turn[j]) % 3
                low[to] += least * self._scale[j]
                high[to] += greatest * self._scale[j]
        least_a = tuple([low[to] for to in range(9)])
        return least_a, tuple([high[to] for to in range(9)]), bool(closed)

    def newest_by_kind(self, int n, double before_s, double taken_s, bint s4_base):
        """As `newest`, with nine sums by kind and line for each triple."""
        cdef double read[9]
        cdef double latest[9]
        cdef double least, greatest, value
        cdef Py_ssize_t j, i, p
        cdef int first, last, to
        for to in range(9):
            read[to] = latest[to] = 0.0
        for j in range(self._start[n], self._start[n + 1]):
            i = self._below[j]
            first = last = 0
            if s4_base and self._count[i] > 0:
                self._span(i, before_s, taken_s, &first, &last)
            for p in range(3):
                to = 3 * self._kind[j] + (p + self._turn[j]) % 3
                if self._count[i] == 0:
                    greatest = value = self._most[3 * i + p]
                else:
                    if not self._extremes(i, p, first, last, &least, &greatest):
                        greatest = self._most[3 * i + p]
                    value = self._current[3 * MOST * i + p]
                    value = 0.0 if isnan(value) else value
                read[to] += greatest * self._scale[j]
                latest[to] += value * self._scale[j]
        return tuple([read[to] for to in range(9)]), tuple([latest[to] for to in range(9)])

    cdef int _commit(self, int i, tuple wired, double committed_a) except -1:
        cdef Py_ssize_t p
        cdef double value
        for p in range(3):
            value = committed_a * <double>wired[p]
            self._most[3 * i + p] = value
            self._committed[3 * self._own[i] + p] += value
        return 0

    cdef int _span(
        self, Py_ssize_t i, double before_s, double taken_s, int *first, int *last
    ) except -1:
        """From the last reading before the window to the first one after it, as far as known."""
        cdef Py_ssize_t at = MOST * i
        cdef int oldest = self._count[i] - 1
        cdef double after_s = taken_s + self._refresh[i]
        first[0] = last[0] = 0
        while first[0] < oldest and self._taken[at + first[0]] > before_s:
            first[0] += 1
        while last[0] < first[0] and self._taken[at + last[0] + 1] >= after_s:
            last[0] += 1
        return 0

    cdef bint _extremes(
        self, Py_ssize_t i, Py_ssize_t p, int first, int last, double *least, double *greatest
    ) except -1:
        """The extremes on a phase from one reading to a younger one; False where one has none."""
        cdef Py_ssize_t at = 3 * MOST * i + p
        cdef double value
        cdef int k
        least[0], greatest[0] = INFINITY, -INFINITY
        for k in range(last, first + 1):
            value = self._current[at + 3 * k]
            if isnan(value):
                return False
            if value < least[0]:
                least[0] = value
            if value > greatest[0]:
                greatest[0] = value
        return True
