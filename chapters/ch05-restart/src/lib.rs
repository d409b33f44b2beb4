//! ch05-restart
