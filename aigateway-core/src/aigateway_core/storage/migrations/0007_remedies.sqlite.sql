-- step: what the owner of an account has to do about its status, in words or as a URL of any length
ALTER TABLE accounts ADD COLUMN status_remedy TEXT
