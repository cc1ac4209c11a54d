"""Values as bytes and back, without pickle: what object collectives send."""

from distrt.comm.codec.codec import MAX_DEPTH, CodecError, decode, encode

__all__ = ["MAX_DEPTH", "CodecError", "decode", "encode"]
