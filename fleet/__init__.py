"""The service: orders, custody, missions, planning, dispatch, supervision and its interfaces."""
