//! Temporary identification certificates: purposes, times, and what a verification finds.
