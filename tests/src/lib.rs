//! Helpers shared by the tests that no single room can hold.
