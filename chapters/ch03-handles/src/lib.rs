//! ch03-handles
