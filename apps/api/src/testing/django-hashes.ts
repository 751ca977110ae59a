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
