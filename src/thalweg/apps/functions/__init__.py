"""Plain functions, called better: in parallel, vectorised, remembered, in batches, and measured.

pieces     data cut into pieces, results joined again      workers   processes that call functions
parallel   pieces at once, in what measurement shows       cache     results of repeated calls
batches    pieces one after the other, vectorised calls    meter     what calls cost, told while they go on
"""
