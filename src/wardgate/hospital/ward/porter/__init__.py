"""The ward's porter: opens the mail, keeps the visitors' book, asks the hospital's people, hands on what they allow."""
