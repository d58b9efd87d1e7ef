"""Reading and atomic writing of data files: BART's formats, npz, npy, fastMRI, ISMRMRD, TWIX, NIfTI and DICOM."""
