"What Streamlit runs; the page itself is the notebook 23_page."
from medllm_nb.page import main

main()
