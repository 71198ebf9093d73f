"""Can a question be answered from the passages that were found, and which of their sentences answers it?"""
