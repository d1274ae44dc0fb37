"""Forms of a mechanism for competing buyers: by profile, by report counts, by scores, and by cells of a continuum."""
