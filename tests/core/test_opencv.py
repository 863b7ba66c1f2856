"OpenCV in a forked process: its parent's threads are not there, and nobody may wait for them."

import subprocess
import sys

CODE = """
from concurrent.futures import ProcessPoolExecutor
import numpy as np
from PIL import Image
from medllm_nb.ingest.ocr import prepare_image
from medllm_nb.sample.scans import rotate_image

rotate_image(np.full((2000, 2000), 255, np.uint8), 1.0)
with ProcessPoolExecutor(1) as pool:
    print(pool.submit(prepare_image, Image.new("L", (900, 1800), 255)).result().shape)
"""


def test_a_page_is_prepared_in_a_process_forked_from_one_that_used_opencv():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "(1800, 900)" in done.stdout, done.stderr[-2000:]
