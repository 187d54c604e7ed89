"""Whatever a client or an upstream can send is read in time that grows like its size."""
