"""A run as a page: its folder is read, thinned out, judged and drawn."""
