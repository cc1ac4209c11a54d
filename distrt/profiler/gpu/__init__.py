"""What GPUs do while a program is profiled: kernels, copies and memory that is set, as NVIDIA's CUPTI tells them.

``library`` calls CUPTI by ctypes, ``records`` reads what it writes, ``collecting`` has it record and stop, ``owners``
says which operation has launched what, and ``rows`` shows that in a trace. CUPTI is loaded when somebody profiles with
``ProfilerActivity.CUDA`` where there is a GPU.

Source: https://docs.nvidia.com/cupti/main/main.html#cupti-activity-api
"""
