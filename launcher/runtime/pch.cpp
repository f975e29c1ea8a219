// Exists so that the shared precompiled header has a library to belong to.
