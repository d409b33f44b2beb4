//! ch04-events
