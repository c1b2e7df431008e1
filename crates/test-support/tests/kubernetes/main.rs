//! The stand-in for Kubernetes, tried by the client that the real host is built on.
