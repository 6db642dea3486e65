//! One security context: what two peers share, and what they have used of it.

use std::fmt;

use lwm2m_coap::{Code, Message, OptionNumber};

use crate::parameters::Keys;
use crate::sequence::SenderSequence;
use crate::window::ReplayWindow;
use crate::{
    DeriveError, IdContext, KeyFingerprint, KeyId, OscoreOption, Parameters, PartialIv,
    ProtectError, ReceivedRequests, ReplayState, UnprotectError, aead, classes, cose,
};

/// The security context of a pair of peers.
pub struct SecurityContext {
    keys: Keys,
    sender_id: KeyId,
    recipient_id: KeyId,
    id_context: Option<IdContext>,
    sequence: SenderSequence,
    /// None while a request may be a replay of an earlier one.
    window: Option<ReplayWindow>,
    /// Without a window: a request with this number or a higher one is new in any case.
    new_from: u64,
    /// What the caller has made durable: below this number, requests may have been received.
    noted_below: u64,
    /// What the peer has to echo.
    challenge: Option<[u8; SecurityContext::CHALLENGE_LEN]>,
    /// How often it was asked for that.
    challenges: u32,
}

/// What binds a response to its request.
///
/// Both sides keep it for as long as responses may come or go: for an observation, to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestBinding {
    partial_iv: PartialIv,
    /// The latest notification's Partial IV.
    notified: Option<PartialIv>,
    /// True when the request had an Observe option, which shows in the outer codes.
    observes: bool,
    /// True when a response without Partial IV came: there is only one.
    answered: bool,
}

impl RequestBinding {
    const OBSERVES: u64 = 1 << 63;
    const ANSWERED: u64 = 1 << 62;

    /// The binding as two numbers, for who keeps it without knowing it.
    pub fn to_words(self) -> [u64; 2] {
        let observes = u64::from(self.observes) * RequestBinding::OBSERVES;
        let answered = u64::from(self.answered) * RequestBinding::ANSWERED;
        let notified = self.notified.map_or(0, |latest| latest.number() + 1);
        [self.partial_iv.number() | observes | answered, notified]
    }

    /// Reads what [`RequestBinding::to_words`] gave; none for other numbers.
    pub fn from_words([request, notified]: [u64; 2]) -> Option<RequestBinding> {
        let flags = RequestBinding::OBSERVES | RequestBinding::ANSWERED;
        Some(RequestBinding {
            partial_iv: PartialIv::new(request & !flags)?,
            notified: match notified {
                0 => None,
                latest => Some(PartialIv::new(latest - 1)?),
            },
            observes: request & RequestBinding::OBSERVES != 0,
            answered: request & RequestBinding::ANSWERED != 0,
        })
    }
}

/// Whether a request is known to be new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// It is.
    Fresh,
    /// It is authentic, but may be a replay: it must not be acted upon. The peer is due a 4.01
    /// with an Echo option of [`SecurityContext::challenge`], protected like any response.
    Unknown,
}

/// A request that is authentic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnprotectedRequest {
    /// The method.
    pub code: Code,
    /// What protects the responses.
    pub binding: RequestBinding,
    /// Whether it may be acted upon.
    pub freshness: Freshness,
}

impl SecurityContext {
    /// The length of a challenge, in bytes.
    pub const CHALLENGE_LEN: usize = 8;

    /// Derives the context of these parameters.
    ///
    /// `sequence_start` is the first own sequence number, 0 for new keys, or the end of what was
    /// reserved before a restart. No number is used before [`SecurityContext::reserve`].
    ///
    /// # Errors
    /// Ids that are equal, or an empty Master Secret.
    pub fn derive(
        parameters: &Parameters,
        replay: ReplayState,
        sequence_start: u64,
    ) -> Result<SecurityContext, DeriveError> {
        Ok(SecurityContext {
            keys: Keys::derive(parameters)?,
            sender_id: parameters.sender_id,
            recipient_id: parameters.recipient_id,
            id_context: parameters.id_context.clone(),
            sequence: SenderSequence::starting_at(sequence_start),
            window: match replay {
                ReplayState::Unknown | ReplayState::Below(_) => None,
                ReplayState::Unused => Some(ReplayWindow::empty()),
                ReplayState::Received(requests) => Some(ReplayWindow::restored(requests)),
            },
            new_from: match replay {
                ReplayState::Below(number) => number,
                _ => u64::MAX,
            },
            noted_below: 0,
            challenge: None,
            challenges: 0,
        })
    }

    /// Our Sender ID.
    pub fn sender_id(&self) -> &KeyId {
        &self.sender_id
    }

    /// The Sender ID of the peer, which is our Recipient ID.
    pub fn recipient_id(&self) -> &KeyId {
        &self.recipient_id
    }

    /// The ID Context, none when there is none.
    pub fn id_context(&self) -> Option<&IdContext> {
        self.id_context.as_ref()
    }

    /// The next own sequence number.
    pub fn sequence_next(&self) -> u64 {
        self.sequence.next()
    }

    /// How many own sequence numbers are reserved and not yet used.
    pub fn sequence_left(&self) -> u64 {
        self.sequence.left()
    }

    /// Allows the use of own sequence numbers below `limit`, which the caller has made durable: a
    /// restart continues at it or behind.
    pub fn reserve(&mut self, limit: u64) {
        self.sequence.reserve(limit);
    }

    /// Tells the keys from others.
    pub fn fingerprint(&self) -> KeyFingerprint {
        self.keys.fingerprint
    }

    /// What the replay window remembers; none when it remembers nothing.
    pub fn received(&self) -> Option<ReceivedRequests> {
        self.window.as_ref().and_then(ReplayWindow::requests)
    }

    /// The first number above all that were received, when the caller has not yet made durable that
    /// it was reached: before a request is acted upon, it does so, and says it by
    /// [`SecurityContext::noted`].
    pub fn to_be_noted(&self) -> Option<u64> {
        let end = self.received()?.highest + 1;
        (end > self.noted_below).then_some(end)
    }

    /// It is durable that requests with numbers below this one may have been received.
    pub fn noted(&mut self, below: u64) {
        self.noted_below = below;
    }

    /// What a peer of [`Freshness::Unknown`] has to echo: the value that stands, or `random`.
    ///
    /// One value stands until it is echoed, so that a repeated request gets the same.
    pub fn challenge(
        &mut self,
        random: [u8; SecurityContext::CHALLENGE_LEN],
    ) -> [u8; SecurityContext::CHALLENGE_LEN] {
        self.challenges = self.challenges.saturating_add(1);
        *self.challenge.get_or_insert(random)
    }

    /// How often the peer was challenged without an answer.
    pub fn challenges(&self) -> u32 {
        self.challenges
    }

    /// Protects a request of ours: appends what the outer message has behind its token to `out`
    /// and gives the outer code.
    ///
    /// # Errors
    /// No sequence number to use, or an option that cannot be protected; `out` is unchanged.
    pub fn protect_request(
        &mut self,
        plain: &Message<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(Code, RequestBinding), ProtectError> {
        check(plain)?;
        let partial_iv = self.sequence.take()?;
        let binding = RequestBinding {
            partial_iv,
            notified: None,
            observes: plain.observe().is_some(),
            answered: false,
        };
        let option = OscoreOption {
            partial_iv: Some(partial_iv),
            kid_context: self.id_context.as_ref().map(IdContext::as_bytes),
            kid: Some(self.sender_id.as_bytes()),
        };
        let kid = self.sender_id;
        let nonce = cose::nonce(&self.keys.common_iv, &kid, partial_iv);
        self.seal(plain, &option, &nonce, (&kid, partial_iv), out)?;
        let code = match binding.observes {
            true => Code::FETCH,
            false => Code::POST,
        };
        Ok((code, binding))
    }

    /// Unprotects a request of the peer: appends what the plain message has behind its token to
    /// `plain`.
    ///
    /// `body` is the payload, put together when it came in outer blocks.
    ///
    /// # Errors
    /// Says why the request is not taken; `plain` is unchanged and so is the context.
    pub fn unprotect_request(
        &mut self,
        outer: &Message<'_>,
        body: &[u8],
        plain: &mut Vec<u8>,
    ) -> Result<UnprotectedRequest, UnprotectError> {
        let option = decode_option(outer)?;
        let (Some(partial_iv), Some(_)) = (option.partial_iv, option.kid) else {
            return Err(UnprotectError::Malformed);
        };
        let number = partial_iv.number();
        if self.window.is_some_and(|window| !window.is_new(number)) {
            return Err(UnprotectError::Replay);
        }
        let kid = self.recipient_id;
        let nonce = cose::nonce(&self.keys.common_iv, &kid, partial_iv);
        let text = self.open(body, &nonce, (&kid, partial_iv))?;
        let inner = read_plaintext(outer, &text)?;
        if !inner.code().is_request() {
            return Err(UnprotectError::Plaintext);
        }
        // What a proxy took away is not asked for any more.
        let observe = inner.observe().filter(|_| outer.observe().is_some());
        let freshness = self.accept(number, inner.value(OptionNumber::ECHO));
        classes::write_plain(outer, &inner, observe, plain);
        Ok(UnprotectedRequest {
            code: inner.code(),
            binding: RequestBinding {
                partial_iv,
                notified: None,
                observes: outer.code() == Code::FETCH,
                answered: false,
            },
            freshness,
        })
    }

    /// Protects a response or notification of ours.
    ///
    /// # Errors
    /// As [`SecurityContext::protect_request`].
    pub fn protect_response(
        &mut self,
        binding: &RequestBinding,
        plain: &Message<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Code, ProtectError> {
        check(plain)?;
        let notifies = plain.observe().is_some();
        let number = binding.partial_iv.number();
        let free = |window: &mut ReplayWindow| window.claim_nonce(number);
        let takes_nonce = !notifies && self.window.as_mut().is_some_and(free);
        let kid = self.recipient_id;
        let (partial_iv, nonce) = match takes_nonce {
            true => {
                let nonce = cose::nonce(&self.keys.common_iv, &kid, binding.partial_iv);
                (None, nonce)
            }
            false => {
                let own = self.sequence.take()?;
                let nonce = cose::nonce(&self.keys.common_iv, &self.sender_id, own);
                (Some(own), nonce)
            }
        };
        let option = OscoreOption {
            partial_iv,
            ..OscoreOption::default()
        };
        self.seal(plain, &option, &nonce, (&kid, binding.partial_iv), out)?;
        Ok(match binding.observes {
            true => Code::CONTENT,
            false => Code::CHANGED,
        })
    }

    /// Unprotects a response to a request of ours; of notifications, only newer ones are taken.
    ///
    /// A notification's Observe value is the low 24 bits of its Partial IV.
    ///
    /// # Errors
    /// Says why the response is not taken; `plain` and `binding` are unchanged.
    pub fn unprotect_response(
        &self,
        binding: &mut RequestBinding,
        outer: &Message<'_>,
        body: &[u8],
        plain: &mut Vec<u8>,
    ) -> Result<Code, UnprotectError> {
        let option = decode_option(outer)?;
        let kid = self.sender_id;
        let nonce = match option.partial_iv {
            Some(own) => cose::nonce(&self.keys.common_iv, &self.recipient_id, own),
            None => cose::nonce(&self.keys.common_iv, &kid, binding.partial_iv),
        };
        let text = self.open(body, &nonce, (&kid, binding.partial_iv))?;
        let inner = read_plaintext(outer, &text)?;
        if !inner.code().is_response() {
            return Err(UnprotectError::Plaintext);
        }
        let notifies = inner.observe().is_some() && outer.observe().is_some();
        match option.partial_iv {
            // Notifications in their order, each once; one without number is the first of all.
            Some(own) if binding.notified.is_some_and(|latest| own <= latest) => {
                return Err(UnprotectError::Stale);
            }
            Some(own) => binding.notified = Some(own),
            None if binding.answered || binding.notified.is_some() => {
                return Err(UnprotectError::Stale);
            }
            None => binding.answered = true,
        }
        let number = option.partial_iv.map_or(0, PartialIv::number);
        let observe = notifies.then_some((number & 0xff_ffff) as u32);
        classes::write_plain(outer, &inner, observe, plain);
        Ok(inner.code())
    }

    /// Notes an authentic request, and whether it is new.
    fn accept(&mut self, number: u64, echo: Option<&[u8]>) -> Freshness {
        match (&mut self.window, &self.challenge) {
            (Some(window), _) => window.accept(number),
            (None, _) if number >= self.new_from => {
                let mut window = ReplayWindow::below(self.new_from);
                window.accept(number);
                self.window = Some(window);
                (self.challenge, self.challenges) = (None, 0);
            }
            (None, Some(challenge)) if echo == Some(&challenge[..]) => {
                self.window = Some(ReplayWindow::starting_at(number));
                (self.challenge, self.challenges) = (None, 0);
            }
            _ => return Freshness::Unknown,
        }
        Freshness::Fresh
    }

    fn seal(
        &self,
        plain: &Message<'_>,
        option: &OscoreOption<'_>,
        nonce: &[u8; aead::IV_LEN],
        request: (&KeyId, PartialIv),
        out: &mut Vec<u8>,
    ) -> Result<(), ProtectError> {
        let mut text = Vec::with_capacity(plain.payload().len() + 64);
        classes::write_plaintext(plain, &mut text);
        let additional_data = cose::additional_data(request.0, request.1);
        if !aead::seal(&self.keys.sender, nonce, &additional_data, &mut text) {
            return Err(ProtectError::TooLong);
        }
        let mut value = Vec::with_capacity(16);
        option.encode(&mut value);
        classes::write_outer(plain, &value, &text, out);
        Ok(())
    }

    fn open(
        &self,
        body: &[u8],
        nonce: &[u8; aead::IV_LEN],
        request: (&KeyId, PartialIv),
    ) -> Result<Vec<u8>, UnprotectError> {
        // A plaintext has the code at least.
        if body.len() <= aead::TAG_LEN {
            return Err(UnprotectError::Malformed);
        }
        let mut text = body.to_vec();
        let additional_data = cose::additional_data(request.0, request.1);
        match aead::open(&self.keys.recipient, nonce, &additional_data, &mut text) {
            true => Ok(text),
            false => Err(UnprotectError::Decryption),
        }
    }
}

impl fmt::Debug for SecurityContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecurityContext")
            .field("sender_id", &self.sender_id)
            .field("recipient_id", &self.recipient_id)
            .field("id_context", &self.id_context)
            .field("sequence", &self.sequence)
            .field("window", &self.window)
            .finish_non_exhaustive()
    }
}

fn check(plain: &Message<'_>) -> Result<(), ProtectError> {
    match classes::can_be_protected(plain) {
        true => Ok(()),
        false => Err(ProtectError::Option),
    }
}

fn decode_option<'d>(outer: &Message<'d>) -> Result<OscoreOption<'d>, UnprotectError> {
    let value = outer
        .value(OptionNumber::OSCORE)
        .ok_or(UnprotectError::Malformed)?;
    OscoreOption::decode(value).map_err(|_| UnprotectError::Malformed)
}

fn read_plaintext<'i, 'd: 'i>(
    outer: &Message<'d>,
    text: &'i [u8],
) -> Result<Message<'i>, UnprotectError> {
    let (code, content) = text.split_first().ok_or(UnprotectError::Plaintext)?;
    outer
        .with_content(Code(*code), content)
        .map_err(|_| UnprotectError::Plaintext)
}
