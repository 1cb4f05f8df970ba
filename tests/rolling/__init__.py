"""Services upgraded one by one: a made-up next release runs beside this one."""
