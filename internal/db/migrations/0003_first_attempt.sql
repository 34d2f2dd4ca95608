-- Most deliveries need one attempt. If it is small it is kept in the delivery's
-- own row, which is written anyway; attempt has those that are large, further
-- ones, and those that somebody's intervention superseded. NULL where there is
-- none, or where attempt has it.
ALTER TABLE delivery ADD COLUMN first_started_at {{bigint}};
ALTER TABLE delivery ADD COLUMN first_timing TEXT;
ALTER TABLE delivery ADD COLUMN first_response_status {{bigint}};
ALTER TABLE delivery ADD COLUMN first_verdict TEXT;
ALTER TABLE delivery ADD COLUMN first_reason TEXT;
ALTER TABLE delivery ADD COLUMN first_error TEXT;
ALTER TABLE delivery ADD COLUMN first_headers TEXT;
ALTER TABLE delivery ADD COLUMN first_body {{blob}};
