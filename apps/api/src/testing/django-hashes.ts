/**
 * Hashes made by Django 5.2.17: `make_password` for its own default, and `PBKDF2PasswordHasher().encode` with the
 * iterations of older releases, whose encoder is the same.
 */
export const DJANGO_HASHES = [
  {
    release: '1.6 with a salt of other characters',
    password: 'a short salt',
    hash: 'pbkdf2_sha256$24000$seasalt+/=x2$vyUn7qP2XNsFJxuSV4zMgmjcsbria6rBl7rX0vjGobU=',
  },
  {
    release: '3.2',
    password: 'securepass123',
    hash: 'pbkdf2_sha256$260000$bsstb00ZUojvckPykvRb5w$LgapT95uenCrtWDZBvBJSHfH8PSXiOLUSYO72gWk8w4=',
  },
  {
    release: '4.2',
    password: 'correct horse battery staple',
    hash: 'pbkdf2_sha256$600000$jjSLgJAFkqL4HNCd5gfDfe$Kf8b1oveqNtI822bI0NplvuQP4wbG/aVIlPOIz2HPDc=',
  },
  {
    release: '5.0',
    password: 'naïve Пароль 🐧',
    hash: 'pbkdf2_sha256$720000$BWA8Z3GUvFRpa67XiVpceR$Tw7cmlus3kHhKMgxDUYzhCRDAX84Exkg6ChDoH9v9b8=',
  },
  {
    release: '5.1',
    password: 'x'.repeat(200),
    hash: 'pbkdf2_sha256$870000$NaRYmnABWn7JeWsbu8XjTT$ZfsVpeoEbcR4kRGeUVJUFICn7vtqkEk7lwF25aXnzqs=',
  },
  {
    release: '5.2',
    password: 'the newest default',
    hash: 'pbkdf2_sha256$1000000$RL5WM4KmwJt3JLXZhMhXxM$dOR/RlkLsWCsTGe58hzNX7cD3JdxYpXE3L8cSM3Ohr8=',
  },
] as const

/** The result of `make_password(None)`. */
export const DJANGO_UNUSABLE_PASSWORD = '!SK2vTTNNg2Kpl1UM3MbLS5BXQR0MR5TbhWgPKpRZ'

/** The password of Django's own tests. */
const LETMEIN = 'lètmein'

/**
 * Hashes of Django's other hashers, none made by the code under test. "Django's tests" is
 * tests/auth_tests/test_hashers.py of Django. "passlib's tests" is passlib/tests/test_handlers_django.py, whose hashes
 * Django 1.4 and 1.6 made. The others have the format of Django's hashers around a digest of Python 3.11: `hashlib.scrypt`,
 * or `crypt.crypt`, which is bcrypt in libxcrypt.
 */
export const OTHER_DJANGO_HASHES = [
  {
    source: "pbkdf2_sha1, Django's tests",
    password: LETMEIN,
    hash: 'pbkdf2_sha1$390000$seasalt2$aDapRanzW8aHTz97v2TcfHzWD+I=',
  },
  {
    source: "pbkdf2_sha1, passlib's tests",
    password: 'not a password',
    hash: 'pbkdf2_sha1$10000$wz5B6WkasRoF$atJmJ1o+XfJxKq1+Nu1f1i57Z5I=',
  },
  {
    source: "argon2id with Django's costs, Django's tests",
    password: 'secret',
    hash: 'argon2$argon2id$v=19$m=102400,t=2,p=8$Y041dExhNkljRUUy$TMa6A8fPJhCAUXRhJXCXdw',
  },
  {
    source: "argon2i, Django's tests",
    password: 'secret',
    hash: 'argon2$argon2i$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$YC9+jJCrQhs5R6db7LlN8Q',
  },
  {
    source: "bcrypt, passlib's tests",
    password: 'abcdefghijklmnopqrstuvwxyz',
    hash: 'bcrypt$$2a$10$fVH8e28OQRj9tqiDXs1e1uxpsjN0c7II7YPKXua2NAKYvM6iQk7dq',
  },
  {
    source: "bcrypt of not only ASCII, passlib's tests",
    password: 't\u00e1\u0411\u2113\u0259',
    hash: 'bcrypt$$2a$05$Z17AXnnlpzddNUvnC6cZNOSwMA/8oNiKnHTHTwLlBijfucQQlHjaG',
  },
  {
    source: "bcrypt with Django's cost, libxcrypt",
    password: LETMEIN,
    hash: 'bcrypt$$2b$12$abcdefghijklmnopqrstuupd4kvGe1RE7cUAJBlAgNLjj8dnLUqIu',
  },
  {
    source: 'bcrypt as PHP writes it, libxcrypt',
    password: LETMEIN,
    hash: 'bcrypt$$2y$06$abcdefghijklmnopqrstuuPb/IntJLlirAv12HWgtofWRkx/a4ZV.',
  },
  {
    source: 'bcrypt of more than 72 bytes, libxcrypt',
    password: 'x'.repeat(80),
    hash: 'bcrypt$$2b$06$abcdefghijklmnopqrstuueHLWckpI7Ut91D6aWthlKy4VKsT9yUG',
  },
  {
    source: "bcrypt_sha256, passlib's tests",
    password: LETMEIN,
    hash: 'bcrypt_sha256$$2a$08$NDjSAIcas.EcoxCRiArvT.MkNiPYVhrsrnJsRkLueZOoV1bsQqlmC',
  },
  {
    source: "bcrypt_sha256 with Django's cost, hashlib and libxcrypt",
    password: LETMEIN,
    hash: 'bcrypt_sha256$$2b$12$abcdefghijklmnopqrstuuVrQ4zCyEDfwKOXCre954in7jn/y/.ua',
  },
  {
    source: "scrypt, Django's tests",
    password: LETMEIN,
    hash: 'scrypt$16384$seasalt$8$1$Qj3+9PPyRjSJIebHnG81TMjsqtaIGxNQG/aEB/NYafTJ7tibgfYz71m0ldQESkXFRkdVCBhhY8mx7rQwite/Pw==',
  },
  {
    source: 'scrypt with the costs of Django 5.2, hashlib',
    password: LETMEIN,
    hash: 'scrypt$16384$seasalt$8$5$ECMIUp+LMxMSK8xB/IVyba+KYGTI7FTnet025q/1f/vBAVnnP3hdYqJuRi+mJn6ji6ze3Fbb7JEFPKGpuEf5vw==',
  },
] as const

/** bcrypt_sha256 of passlib's tests, made by Django 1.6. These passwords differ only after 72 bytes. */
export const LONG_PASSWORD_HASHES = [
  {
    password: `${'abc123'.repeat(12)}qwr`,
    hash: 'bcrypt_sha256$$2a$06$Tg/oYyZTyAf.Nb3qSgN61Ocy0BEz1RK6xslSNi8PlaLX2pe7x/KQG',
  },
  {
    password: `${'abc123'.repeat(12)}xyz`,
    hash: 'bcrypt_sha256$$2a$06$Tg/oYyZTyAf.Nb3qSgN61OvY2zoRVUa2Pugv2ExVOUT2YmhvxUFUa',
  },
] as const
