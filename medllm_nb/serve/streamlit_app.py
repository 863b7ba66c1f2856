"What Streamlit runs; the page itself is the notebook serve.page."

from medllm_nb.serve.page import render_page

render_page()
