# Curved rows while the level rises; `phasors.pxi` says what they are.


cdef int _curved_change(
    Kernel site, Evse* evse, double fixed, long long moving, long long resting
) except -1 nogil:
    """Carry what an EVSE changes up to the root."""
    cdef int at = site.entries[evse.entry].at
    cdef Curved* curved
    cdef Reach reach = site.entries[evse.entry]
    while at >= 0:
        if reach.kind != WYE:
            curved = &site.curves[site.places[at].curved]
            _put(curved.fixed, &reach, fixed)
            _put_weight(curved.moving, &reach, moving)
            _put_weight(curved.resting, &reach, resting)
        at = _climb(site, at, &reach)
    return 0


cdef double _curved_free_level(Kernel site, int begin, int end, double level) except -1.0 nogil:
    """Lower `level` until no curved row is full at it, even if all rose at once, in one direction.

    `resting` of the straight lanes is summed already.
    """
    cdef int i, k, p, at
    cdef double weight, room
    cdef Evse* evse
    cdef Reach reach
    cdef Node* node
    cdef Curved* curved
    cdef Line line
    cdef double[4] wye
    cdef double[2][4] sums
    for i in range(site.curved_count):
        memset(&site.curves[i].resting, 0, sizeof(site.curves[i].resting))
    for k in range(begin, end):
        evse = &site.evses[site.roster[k]]
        if evse.admitted and evse.entry >= 0:
            at = site.entries[evse.entry].at
            reach = site.entries[evse.entry]
            while at >= 0:
                _put_weight(site.curves[site.places[at].curved].resting, &reach, evse.quanta)
                at = _climb(site, at, &reach)
    for i in range(site.live_count):
        node = &site.nodes[i]
        if site.places[i].curved < 0:
            continue
        curved = &site.curves[site.places[i].curved]
        for p in range(3):
            wye[p] = <double>site.fills[i].resting[p] * site.quantum
            sums[0][p] = <double>curved.resting[0][p] * site.quantum
            sums[1][p] = <double>curved.resting[1][p] * site.quantum
        for p in range(3):
            if not curved.lines >> p & 1 or curved.ceiling[p] == INFINITY:
                continue
            _line(&line, p, wye, sums[0], sums[1])
            weight = (
                line.straight + line.ahead + line.behind + line.far_ahead + line.far_behind
            )
            _line(&line, p, node.load, curved.load[0], curved.load[1])
            room = curved.ceiling[p] - _worst(curved, p, &line)
            if weight * level > room:
                level = room / weight
        weight = _va_of(node, curved, wye, sums)
        room = curved.headroom_va - _va_of(node, curved, node.load, curved.load)
        if weight * level > room:
            level = room / weight
    return max(0.0, level)


cdef int _curved_sum_members(Kernel site) except -1 nogil:
    """Set up the sums of the curved nodes and find their rows that can be full at all.

    Those of the straight rows are set up already.
    """
    cdef int i, p
    cdef double most
    cdef Evse* evse
    cdef Node* node
    cdef Fill* fill
    cdef Curved* curved
    cdef Line line
    for i in range(site.curved_count):
        curved = &site.curves[i]
        memset(&curved.fixed, 0, sizeof(curved.fixed))
        memset(&curved.most, 0, sizeof(curved.most))
        memset(&curved.moving, 0, sizeof(curved.moving))
        memset(&curved.resting, 0, sizeof(curved.resting))
    for i in range(site.evse_count):
        evse = &site.evses[i]
        if evse.entry < 0:
            continue
        most = evse.upper
        if evse.doing == MOVING:
            _curved_change(site, evse, 0.0, evse.quanta, 0)
        elif evse.doing == RESTING:
            _curved_change(site, evse, evse.value, 0, evse.quanta)
        else:
            most = evse.value
            _curved_change(site, evse, evse.value, 0, 0)
        _curved_most(site, evse, most)
    for i in range(site.live_count):
        node = &site.nodes[i]
        if site.places[i].curved < 0:
            continue
        fill = &site.fills[i]
        curved = &site.curves[site.places[i].curved]
        for p in range(3):
            _line(&line, p, fill.most, curved.most[0], curved.most[1])
            if curved.lines >> p & 1 and _worst(curved, p, &line) > curved.ceiling[p]:
                fill.rows |= 1 << (CURVED_LINE + p)
        if _va_of(node, curved, fill.most, curved.most) > curved.headroom_va:
            fill.rows |= 1 << CURVED_VA
    return 0


cdef int _curved_most(Kernel site, Evse* evse, double most) except -1 nogil:
    cdef int at = site.entries[evse.entry].at
    cdef Reach reach = site.entries[evse.entry]
    while at >= 0:
        _put(site.curves[site.places[at].curved].most, &reach, most)
        at = _climb(site, at, &reach)
    return 0


cdef int _curved_key(Kernel site, int at, int rows) except -1 nogil:
    """Lower `key` to the level at which one of the node's curved rows is full."""
    cdef int p, corner
    cdef double re, im, rise_re, rise_im, rest_re, rest_im, level, start = site.next_start
    cdef double moving = 0.0, resting = 0.0
    cdef bint exact
    cdef Node* node = &site.nodes[at]
    cdef Fill* fill = &site.fills[at]
    cdef Curved* curved = &site.curves[site.places[at].curved]
    cdef Line fixed, rise, rest
    for p in range(3):
        if not rows >> (CURVED_LINE + p) & 1:
            continue
        _line(&fixed, p, fill.fixed, curved.fixed[0], curved.fixed[1])
        _weigh(&rise, p, fill.moving, curved.moving[0], curved.moving[1], site.quantum)
        _weigh(&rest, p, fill.resting, curved.resting[0], curved.resting[1], site.quantum)
        for corner in range(CORNERS):
            if not curved.corners[p] >> corner & 1:
                continue
            _corner(&fixed, corner, &re, &im)
            _corner(&rise, corner, &rise_re, &rise_im)
            _corner(&rest, corner, &rest_re, &rest_im)
            re += curved.base_re[p]
            im += curved.base_im[p]
            level = INFINITY
            exact = True
            if rise_re > 0.0:
                level = _crossing(re, im, rise_re, rise_im, curved.ceiling[p])
            elif rest_re == 0.0:
                continue
            if level > start:
                exact = False
                level = start
                rest_re += rise_re
                rest_im += rise_im
                level += max(
                    0.0,
                    _crossing(
                        re + rise_re * start,
                        im + rise_im * start,
                        rest_re,
                        rest_im,
                        curved.ceiling[p],
                    ),
                )
            if level < site.key:
                site.key = level
                site.key_row = CURVED_LINE + p
                site.key_corner = corner
                site.key_exact = exact
    if rows >> CURVED_VA & 1:
        for p in range(3):
            moving += (
                node.voltage[p] * <double>fill.moving[p]
                + curved.volts[0][p] * <double>curved.moving[0][p]
                + curved.volts[1][p] * <double>curved.moving[1][p]
            )
            resting += (
                node.voltage[p] * <double>fill.resting[p]
                + curved.volts[0][p] * <double>curved.resting[0][p]
                + curved.volts[1][p] * <double>curved.resting[1][p]
            )
        _consider(
            site,
            CURVED_VA,
            curved.headroom_va - _va_of(node, curved, fill.fixed, curved.fixed),
            moving * site.quantum,
            resting * site.quantum,
        )
    return 0


cdef int _see_full(
    Kernel site, int at, int p, int corner, double level, Full* full
) except -1 nogil:
    """How a corner of line `p` stands at the level at which it is full."""
    cdef double re, im, rise_re, rise_im, length
    cdef Fill* fill = &site.fills[at]
    cdef Curved* curved = &site.curves[site.places[at].curved]
    cdef Line line
    _line(&line, p, fill.fixed, curved.fixed[0], curved.fixed[1])
    _corner(&line, corner, &re, &im)
    _weigh(&line, p, fill.moving, curved.moving[0], curved.moving[1], site.quantum)
    _corner(&line, corner, &rise_re, &rise_im)
    re += curved.base_re[p] + rise_re * level
    im += curved.base_im[p] + rise_im * level
    full.corner = corner
    # A level at which a tangent is met is known to half of the digits.
    full.flat = re < -1e-6 * (1.0 + curved.ceiling[p])
    full.re = full.im = 0.0
    if full.flat:
        full.im = 1.0 if rise_im > 0.0 else -1.0 if rise_im < 0.0 else 0.0
    else:
        re = max(0.0, re)
        length = sqrt(re * re + im * im)
        if length > 0.0:
            full.re = re / length
            full.im = im / length
    return 0


cdef int _stop_curved(Kernel site, int at, int row, int corner, double level) except -1 nogil:
    """Stop everybody who raises the corner of a curved row that is full.

    The others on the row may go on: where they count another corner is full later.
    """
    cdef int i, p = row - CURVED_LINE, stopped = 0, code = C_NODE_CEILING
    cdef int zone = site.places[at].zone
    cdef double value
    cdef bint raises
    cdef Reach reach
    cdef Full full
    cdef Evse* evse
    cdef Node* node = &site.nodes[at]
    cdef Curved* curved = &site.curves[site.places[at].curved]
    if row == CURVED_VA:
        code = C_VA_CEILING
    else:
        _see_full(site, at, p, corner, level, &full)
    if row != CURVED_VA and site.places[at].primary:
        code = C_PRIMARY_CEILING
    if curved.closed >> (STRAIGHT_VA if row == CURVED_VA else p) & 1:
        code = C_BASE_OVER_CEILING
    for i in range(node.first, node.last):
        evse = &site.evses[i]
        if evse.doing == STANDING:
            continue
        reach = _reach_at(&site.entries[evse.entry], zone)
        if row == CURVED_VA:
            raises = _loads_va(node, curved, &reach)
        else:
            raises = _raises(&reach, p, &full)
        if not raises:
            continue
        value = evse.lower
        if evse.doing == MOVING:
            value = min(max(evse.weight * level, value), evse.upper)
        _stop(site, evse, value)
        _apply_change(site, evse.node)
        evse.code = code
        evse.stop_node = at
        evse.stop_row = row
        stopped += 1
    if not stopped:
        # Nobody is left who could load it.
        site.fills[at].rows &= ~(1 << row)
    return 0


cdef bint _loads_va(Node* node, Curved* curved, Reach* reach) noexcept nogil:
    """Whether an EVSE counts in a VA row: not on phases without voltage."""
    cdef int p
    for p in range(3):
        if reach.bits >> p & 1 and (
            node.voltage[p] if reach.kind == WYE else curved.volts[reach.kind - 1][p]
        ) > 0.0:
            return True
    return False
