# Curved rows: their ceilings, what they carry and whether more fits; `phasors.pxi` has the sums.


cdef int _take_curved(
    Kernel site,
    int at,
    const double[::1] ceiling,
    const double[::1] base,
    const double[::1] primary_ceiling,
    double sign,
) except -1 nogil:
    """Move the curved rows of a node out of its straight ones; `sign` is -1 for what flows back."""
    cdef int p
    cdef double turns, ahead, behind
    cdef Place* place = &site.places[at]
    cdef Node* node = &site.nodes[at]
    cdef int outer = place.outer
    cdef double* volts = node.voltage
    cdef Curved* curved = &site.curves[place.curved]
    curved.closed = 0
    if place.primary:
        # The ceilings of its own node are those of the secondary side.
        node.deficit_rows = 0
        for p in range(4):
            node.headroom[p] = node.bound[p] = INFINITY
    for p in range(3):
        if place.primary:
            # The base load of the secondary side, WYE there, is DELTA here.
            turns = site.turns[outer]
            ahead = sign * base[4 * outer + p] / turns
            behind = sign * base[4 * outer + (p + 2) % 3] / turns
            curved.base_re[p] = COS_30 * (ahead + behind)
            curved.base_im[p] = 0.5 * (ahead - behind)
            curved.ceiling[p] = primary_ceiling[3 * outer + p]
            curved.corners[p] = curved.feeding if ahead < 0.0 or behind < 0.0 else curved.importing
        else:
            curved.base_re[p] = sign * base[4 * outer + p]
            curved.base_im[p] = 0.0
            curved.ceiling[p] = ceiling[4 * outer + p]
            curved.corners[p] = curved.feeding if curved.base_re[p] < 0.0 else curved.importing
        if not curved.lines >> p & 1:
            continue
        node.headroom[p] = node.bound[p] = INFINITY
        if _import(curved.base_re[p], curved.base_im[p]) > curved.ceiling[p]:
            curved.closed |= 1 << p
            curved.ceiling[p] = curved.base_re[p] = curved.base_im[p] = 0.0
        curved.bound[p] = curved.ceiling[p] + (
            ROW_SLACK + ROW_SLACK_RELATIVE * curved.ceiling[p]
        )
    curved.headroom_va = node.headroom[3]
    curved.bound_va = node.bound[3]
    curved.closed |= node.deficit_rows & 8
    node.headroom[3] = node.bound[3] = INFINITY
    node.deficit_rows &= ~(curved.lines | 8)
    for p in range(3):
        curved.volts[0][p] = _delta_volts(volts[p], volts[(p + 1) % 3])
        curved.volts[1][p] = 2.0 * volts[p] + 0.5 * (volts[(p + 1) % 3] + volts[(p + 2) % 3])
    return 0


cdef inline int _climb(Kernel site, int at, Reach* reach) except -2 nogil:
    """The node above; crosses a transformer on the way."""
    cdef Place* place = &site.places[at]
    if place.turns > 0.0:
        _cross(reach, place.turns)
    return place.parent


cdef int _curved_refusing(
    Kernel site, int at, Reach* reach, double more, bint any_row
) except -1 nogil:
    """The rows of a node, as bits from `CURVED_LINE` on, that `more` A of an EVSE would exceed.

    Rows that it does not load do not count, but for `any_row`.
    """
    cdef int p, rows = 0
    cdef int lines = 7 if any_row else _lines_of(reach)
    cdef Line line
    cdef Node* node = &site.nodes[at]
    cdef Curved* curved = &site.curves[site.places[at].curved]
    cdef double[4] wye
    cdef double[2][4] sums
    memcpy(&wye, &node.load, sizeof(wye))
    memcpy(&sums, &curved.load, sizeof(sums))
    if reach.kind == WYE:
        for p in range(3):
            if reach.bits >> p & 1:
                wye[p] += more
    else:
        _put(sums, reach, more)
    for p in range(3):
        if curved.lines & lines & 1 << p and curved.ceiling[p] < INFINITY:
            _line(&line, p, wye, sums[0], sums[1])
            if _worst(curved, p, &line) > curved.bound[p]:
                rows |= 1 << (CURVED_LINE + p)
    if curved.bound_va < INFINITY and _va_of(node, curved, wye, sums) > curved.bound_va:
        rows |= 1 << CURVED_VA
    return rows


cdef int _curved_refusal(Kernel site, Evse* evse, double more) except -2 nogil:
    """The first curved row up to the root without room for `more` A, coded, or -1."""
    cdef int rows, at = site.entries[evse.entry].at
    cdef Reach reach = site.entries[evse.entry]
    while at >= 0:
        rows = _curved_refusing(site, at, &reach, more, False)
        if rows:
            return ROWS_PER_NODE * at + _lowest(rows)
        at = _climb(site, at, &reach)
    return -1


cdef int _curved_add(Kernel site, Evse* evse, double more) except -1 nogil:
    """Add `more` A to every curved node up to the root."""
    cdef int at = site.entries[evse.entry].at
    cdef Reach reach = site.entries[evse.entry]
    while at >= 0:
        _put(site.curves[site.places[at].curved].load, &reach, more)
        at = _climb(site, at, &reach)
    return 0


cdef int _curved_sum_loads(Kernel site) except -1 nogil:
    """Set the curved loads to what all EVSEs hold now, summed afresh."""
    cdef int i
    cdef Evse* evse
    for i in range(site.curved_count):
        memset(&site.curves[i].load, 0, sizeof(site.curves[i].load))
    for i in range(site.evse_count):
        evse = &site.evses[i]
        if evse.entry >= 0 and evse.value != 0.0:
            _curved_add(site, evse, evse.value)
    return 0


cdef bint _curved_fit(Kernel site) except -1 nogil:
    """Whether every curved row holds what is loaded now."""
    cdef int i
    cdef Reach nobody
    nobody.at = -1
    nobody.kind = WYE
    nobody.bits = 0
    nobody.scale = 1.0
    for i in range(site.live_count):
        if site.places[i].curved >= 0 and _curved_refusing(site, i, &nobody, 0.0, True):
            return False
    return True


cdef bint _is_refused_at_curved(Kernel site, Evse* evse, double more) except -1 nogil:
    """Whether the curved row that stopped an EVSE has no room for `more` A."""
    cdef int at = site.entries[evse.entry].at
    cdef Reach reach = site.entries[evse.entry]
    while at != evse.stop_node:
        at = _climb(site, at, &reach)
    return _curved_refusing(site, at, &reach, more, False) >> evse.stop_row & 1


cdef int _name_curved_refusal(Kernel site, Evse* evse, double more) except -1 nogil:
    """Name a curved row that base load alone exceeds, if there is one that refuses an EVSE."""
    cdef int rows, at = site.entries[evse.entry].at
    cdef Reach reach = site.entries[evse.entry]
    while at >= 0:
        rows = site.curves[site.places[at].curved].closed << CURVED_LINE
        if rows:
            rows &= _curved_refusing(site, at, &reach, more, False)
            if rows:
                evse.code = C_BASE_OVER_CEILING
                evse.stop_node = at
                evse.stop_row = _lowest(rows)
                return 0
        at = _climb(site, at, &reach)
    return 0
