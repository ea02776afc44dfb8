"""Which known network has such tensors?"""
