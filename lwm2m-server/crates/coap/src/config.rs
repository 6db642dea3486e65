//! Protocol constants and limits.

use std::time::Duration;

/// The transmission parameters of RFC 7252 §4.8, and what derives from them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TransmissionParameters {
    /// ACK_TIMEOUT, 2 s.
    pub ack_timeout: Duration,
    /// ACK_RANDOM_FACTOR, 1.5; 1.0 at least.
    pub ack_random_factor: f64,
    /// MAX_RETRANSMIT, 4.
    pub max_retransmit: u32,
    /// MAX_LATENCY, 100 s.
    pub max_latency: Duration,
}

impl Default for TransmissionParameters {
    fn default() -> TransmissionParameters {
        TransmissionParameters {
            ack_timeout: Duration::from_secs(2),
            ack_random_factor: 1.5,
            max_retransmit: 4,
            max_latency: Duration::from_secs(100),
        }
    }
}

impl TransmissionParameters {
    /// MAX_TRANSMIT_SPAN, 45 s: from the first transmission to the last.
    pub fn max_transmit_span(&self) -> Duration {
        let periods = 2_f64.powi(self.max_retransmit as i32) - 1.0;
        self.ack_timeout.mul_f64(periods * self.ack_random_factor)
    }

    /// MAX_TRANSMIT_WAIT, 93 s: from the first transmission to giving up.
    pub fn max_transmit_wait(&self) -> Duration {
        let periods = 2_f64.powi(self.max_retransmit as i32 + 1) - 1.0;
        self.ack_timeout.mul_f64(periods * self.ack_random_factor)
    }

    /// EXCHANGE_LIFETIME, 247 s. PROCESSING_DELAY is ACK_TIMEOUT.
    pub fn exchange_lifetime(&self) -> Duration {
        self.max_transmit_span() + 2 * self.max_latency + self.ack_timeout
    }

    /// NON_LIFETIME, 145 s.
    pub fn non_lifetime(&self) -> Duration {
        self.max_transmit_span() + self.max_latency
    }
}

/// What an [`Endpoint`](crate::Endpoint) goes by.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Timers of the message layer.
    pub transmission: TransmissionParameters,
    /// Outstanding interactions with one peer; 1.
    pub nstart: usize,
    /// How long a request waits for its response after an empty ACK, or as NON; 247 s.
    pub response_timeout: Duration,
    /// When an answer is not given by then, an empty ACK is sent and the response comes apart;
    /// 1 s, below ACK_TIMEOUT.
    pub piggyback_window: Duration,
    /// Our block size for bodies that need blocks; 1024 bytes.
    pub block_size: crate::BlockSize,
    /// Bodies above this go block by block, in bytes; 1024.
    pub body_inline_max: usize,
    /// The largest body that is put together from blocks, in bytes; 1 MiB.
    pub body_max: usize,
    /// Bodies in reception at once, all peers, and as many responses kept for the requests of
    /// their later blocks; 4096.
    pub transfers_max: usize,
    /// Bodies in reception at once from one peer; 8.
    pub transfers_per_peer_max: usize,
    /// Bytes of all bodies in reception; 64 MiB.
    pub transfer_bytes_max: usize,
    /// Requests of one peer that wait for their turn; 16.
    pub peer_queue_max: usize,
    /// Remembered messages for deduplication, all peers; 262144.
    pub deduplication_max: usize,
    /// Outgoing datagrams are cut from chunks of this many bytes; 8 KiB. An engine with one peer
    /// that says little, as in a simulated device, does with less.
    pub chunk_bytes: usize,
    /// Options of one message; 64.
    pub options_max: usize,
    /// The longest token accepted, in bytes; 64. 8 refuses extended tokens (RFC 8974).
    pub token_max: usize,
    /// Resets, answers to pings and refusals of malformed requests to one peer in a second; 100.
    /// Peers may share a counter.
    pub rejections_per_second_max: u16,
    /// Options of a request that the application understands beyond those of the engine.
    pub understood_options: Vec<crate::OptionNumber>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            transmission: TransmissionParameters::default(),
            nstart: 1,
            response_timeout: Duration::from_secs(247),
            piggyback_window: Duration::from_secs(1),
            block_size: crate::BlockSize::MAX,
            body_inline_max: 1024,
            body_max: 1 << 20,
            transfers_max: 4096,
            transfers_per_peer_max: 8,
            transfer_bytes_max: 64 << 20,
            peer_queue_max: 16,
            deduplication_max: 1 << 18,
            chunk_bytes: 8 * 1024,
            options_max: 64,
            token_max: crate::Token::MAX,
            rejections_per_second_max: 100,
            understood_options: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_times_are_those_of_the_rfc() {
        let parameters = TransmissionParameters::default();
        assert_eq!(parameters.max_transmit_span(), Duration::from_secs(45));
        assert_eq!(parameters.max_transmit_wait(), Duration::from_secs(93));
        assert_eq!(parameters.exchange_lifetime(), Duration::from_secs(247));
        assert_eq!(parameters.non_lifetime(), Duration::from_secs(145));
    }
}
