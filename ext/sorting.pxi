# The heap of nodes and the sorting of events.


cdef inline unsigned long long _bits(double value) noexcept nogil:
    """The bits of a double that is not negative: they sort as the doubles do."""
    cdef unsigned long long bits
    memcpy(&bits, &value, 8)
    return bits


cdef inline bint _comes_first(Event* a, Event* b) noexcept nogil:
    """Of equal levels the deeper node comes first: it is the nearest reason."""
    return a.level < b.level or (a.level == b.level and a.index > b.index)


cdef int _build_heap(Kernel site) except -1 nogil:
    cdef int node, k
    site.heap_count = 0
    for node in range(site.live_count):
        if site.fills[node].rows:
            _compute_key(site, node)
            if site.key < INFINITY:
                site.heap[site.heap_count].level = site.key
                site.heap[site.heap_count].index = node
                site.heap_count += 1
    for k in range(site.heap_count // 2 - 1, -1, -1):
        _sift_down(site, k)
    return 0


cdef int _sift_down(Kernel site, int k) except -1 nogil:
    cdef Event entry = site.heap[k]
    cdef int child, count = site.heap_count
    while True:
        child = 2 * k + 1
        if child >= count:
            break
        if child + 1 < count and _comes_first(&site.heap[child + 1], &site.heap[child]):
            child += 1
        if not _comes_first(&site.heap[child], &entry):
            break
        site.heap[k] = site.heap[child]
        k = child
    site.heap[k] = entry
    return 0


cdef double _second_key(Kernel site) except? -1.0 nogil:
    if site.heap_count < 2:
        return INFINITY
    if site.heap_count == 2:
        return site.heap[1].level
    return min(site.heap[1].level, site.heap[2].level)


cdef int _replace_top(Kernel site, double key) except -1 nogil:
    """Put the top entry where `key` belongs; infinity takes it out."""
    if key == INFINITY:
        site.heap_count -= 1
        if site.heap_count == 0:
            return 0
        site.heap[0] = site.heap[site.heap_count]
    else:
        site.heap[0].level = key
    return _sift_down(site, 0)


cdef int _sort(Kernel site, Event[::1] events, int count) except -1 nogil:
    """Sort by level, which is not negative, stable."""
    cdef int k
    if count <= SMALL_SORT:
        _sort_by_insertion(events, count, count * count)
        return 0
    for k in range(1, count):
        if events[k].level < events[k - 1].level:
            # The upper bits nearly always tell levels apart; insertion mends the rest.
            _sort_by_radix(site, events, count, 4 if count < 2048 else 3)
            if not _sort_by_insertion(events, count, 4 * count):
                _sort_by_radix(site, events, count, 0)
            return 0
    return 0


cdef int _sort_by_radix(Kernel site, Event[::1] events, int count, int first_digit) except -1 nogil:
    """Sort by the six digits of 11 bits from `first_digit` on, stable."""
    cdef int k, digit, total, here
    cdef unsigned long long bits
    cdef int* histogram
    # One check for all: no index below reaches `count`.
    cdef Event* source = &events[count - 1] - (count - 1)
    cdef Event* target = &site.spare[count - 1] - (count - 1)
    histogram = &site.histogram[6 * 2048 - 1] - (6 * 2048 - 1)
    memset(histogram + 2048 * first_digit, 0, (6 - first_digit) * 2048 * sizeof(int))
    for k in range(count):
        bits = _bits(source[k].level)
        for digit in range(first_digit, 6):
            histogram[2048 * digit + <int>((bits >> (11 * digit)) & 2047)] += 1
    for digit in range(first_digit, 6):
        histogram = &site.histogram[2048 * digit]
        # Where all levels agree there is nothing to do.
        if histogram[(_bits(source[0].level) >> (11 * digit)) & 2047] == count:
            continue
        total = 0
        for k in range(2048):
            here = histogram[k]
            histogram[k] = total
            total += here
        for k in range(count):
            here = <int>((_bits(source[k].level) >> (11 * digit)) & 2047)
            target[histogram[here]] = source[k]
            histogram[here] += 1
        source, target = target, source
    if source != &events[0]:
        memcpy(target, source, count * sizeof(Event))
    return 0


cdef int _sort_by_insertion(Event[::1] events, int count, int moves) except -1 nogil:
    """Sort by level, stable; whether `moves` were enough."""
    cdef int k, j
    cdef Event event
    for k in range(1, count):
        if events[k - 1].level <= events[k].level:
            continue
        event = events[k]
        j = k - 1
        while j >= 0 and events[j].level > event.level:
            events[j + 1] = events[j]
            j -= 1
            moves -= 1
        events[j + 1] = event
        if moves < 0:
            return 0
    return 1
