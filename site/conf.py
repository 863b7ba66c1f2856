"Sphinx configuration of the site: the executed notebooks as they are, never executed again."

project = "medllm_nb"
copyright = "2026, the medllm_nb contributors"
extensions = ["myst_nb"]
nb_execution_mode = "off"
nb_merge_streams = True
nb_output_stderr = "remove"
nb_render_markdown_format = "myst"  # its tables too
myst_heading_anchors = 3
myst_enable_extensions = ["dollarmath"]
exclude_patterns = ["_build"]
suppress_warnings = ["mystnb.unknown_mime_type", "myst.header", "myst.xref_missing"]
html_theme = "alabaster"
html_theme_options = {
    "description": "From a folder of reports to an evaluated model",
    "page_width": "1160px",
    "body_max_width": "900px",
    "code_font_size": "0.8em",
    "sidebar_width": "240px",
    "fixed_sidebar": True,
}
html_show_sourcelink = False
html_show_sphinx = False
html_static_path = html_css_files = ["wrap.css"]
