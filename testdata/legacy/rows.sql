INSERT INTO customers (email, first_name, last_name, country, zip, score, discount, active, created) VALUES
  ('Ann@Shop.example', 'Ann', 'Ärmel', 'DE', '10115', 7, 0.1, true, '2026-01-02 03:04:05.6789'),
  ('bob@shop.example', 'Bob', 'Zorn', 'F', NULL, 100, NULL, false, '2026-01-03');
INSERT INTO "Products" ("Product Name", price, cost, weight, tags, sizes, moods, attributes, "order", "select") VALUES
  ('Tea', 4.50, 1.2, 0.1250000, '{green,"black, strong"}', '{1,2}', '{open,paid}', '{"b": 1, "a": [1,2]}', 3, 'x'),
  ('Cup', 12.00, 5, NULL, '{}', NULL, NULL, NULL, NULL, NULL);
INSERT INTO orders (id, customer, referrer_id, state, total, placed) VALUES
  ('01980000-0000-7000-8000-000000000001', 1, NULL, 'open', 9.00, '2026-02-01 10:00'),
  ('01980000-0000-7000-8000-000000000002', 2, 1, 'paid', 12.00, '2026-02-02 10:00'),
  ('01980000-0000-7000-8000-000000000003', 1, 2, 'open', 0.5, '2026-02-03 10:00');
INSERT INTO payments (order_id, amount, code) VALUES ('01980000-0000-7000-8000-000000000002', 12, 'card');
INSERT INTO employees (name, reports_to) VALUES ('Eve', NULL), ('Dan', 1);
