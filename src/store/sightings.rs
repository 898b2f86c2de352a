//! Checks that found a listing, under the records that made it listed.
