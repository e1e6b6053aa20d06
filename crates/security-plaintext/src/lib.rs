//! The plaintext security upgrade of skep, for tests.
