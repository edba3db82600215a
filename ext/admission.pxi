# Admission at the minimum, in queue order.


cdef int _admit(Kernel site, int begin, int end) except -1 nogil:
    """Admit at the minimum in queue order whoever fits; the number of those admitted."""
    cdef int k, i, refuser, admitted = 0
    cdef double more
    cdef Evse* evse
    for k in range(begin, end):
        i = site.roster[k]
        if site.increments[i].least <= site.increments[i].greatest:
            site.evses[i].admitted = 1
            admitted += 1
    if _all_fit(site, begin, end):
        return admitted
    admitted = 0
    for k in range(begin, end):
        i = site.queue[k]
        evse = &site.evses[i]
        if not evse.admitted:
            continue
        evse.admitted = 0
        more = evse.lower - evse.value
        refuser = _refusal(site, evse, more)
        if refuser < 0:
            _add(site, evse, more)
            evse.value = evse.lower
            evse.admitted = 1
            admitted += 1
        else:
            _name_refusal(site, evse, more, refuser)
    return admitted


cdef int _all_fit(Kernel site, int begin, int end) except -1 nogil:
    """Whether all fit at their minima, so that no order matters; if so they get them."""
    cdef int k, i
    cdef bint fit = True
    cdef Evse* evse
    for k in range(begin, end):
        evse = &site.evses[site.roster[k]]
        if evse.admitted:
            # One who pauses at more than the minimum makes room: then the order does matter.
            fit = fit and evse.lower >= evse.value
            evse.value = evse.lower
    _sum_loads(site)
    for i in range(site.live_count):
        fit = fit and not _refusing_rows(&site.nodes[i], 7, 0.0)
    if site.curved_count:
        fit = fit and _curved_fit(site)
    if site.unbalance_count:
        fit = fit and _balanced(site)
    if not fit:
        for k in range(begin, end):
            i = site.roster[k]
            site.evses[i].value = site.increments[i].pause
        _sum_loads(site)
    return fit


cdef int _name_refusal(Kernel site, Evse* evse, double more, int refuser) except -1 nogil:
    """Say why an EVSE was not admitted; a row exceeded by base load alone comes first."""
    cdef int at = evse.node, rows
    cdef Node* node
    evse.code = C_NOT_ADMITTED
    evse.stop_node = refuser // ROWS_PER_NODE
    evse.stop_row = refuser % ROWS_PER_NODE
    while at >= 0:
        node = &site.nodes[at]
        if node.deficit_rows:
            rows = _refusing_rows(node, evse.phases, more) & node.deficit_rows
            if rows:
                evse.code = C_BASE_OVER_CEILING
                evse.stop_node = at
                evse.stop_row = _lowest(rows)
                return 0
        at = node.up
    if evse.entry >= 0:
        _name_curved_refusal(site, evse, more)
    return 0
