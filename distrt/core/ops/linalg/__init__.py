"""Linear algebra: products, factorisations, systems, spectra, norms."""
