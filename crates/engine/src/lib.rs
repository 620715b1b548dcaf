//! A Call answered here, by open weights, on llama.cpp kernels.
