from django.urls import path

from . import views

app_name = "notices"
urlpatterns = [
    path("notices/", views.condition_list, name="condition-list"),
    path("notices/<int:pk>/acknowledge/", views.acknowledge, name="acknowledge"),
    path("notices/choices/", views.choices_page, name="choices"),
    path("notices/choices/customer/", views.customer_choice, name="customer-choice"),
    path("notices/customers/<int:pk>/", views.customer_routes, name="customer-routes"),
    path("notices/routes/<int:pk>/end/", views.route_end_view, name="route-end"),
    path("notices/mails/", views.mail_list, name="mail-list"),
    path("notices/mails/<int:pk>/send/", views.mail_send_again_view, name="mail-send-again"),
    path("notices/end/<str:token>/", views.end, name="end"),
]
