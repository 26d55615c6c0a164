"""Models by architecture name. Importing this package imports no torch; `models` does.

architectures.py  tiny … 32B, as one table
models.py         build, load, save, measure the loss (torch)
export.py         a Hugging Face folder that AutoModelForCausalLM loads
"""
